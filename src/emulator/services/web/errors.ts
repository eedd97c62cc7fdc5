import { type ArmError, armError } from "../../http/arm-error.ts";

/**
 * A refusal in Microsoft.Web's own shape: capital names, no `error` envelope (azure/appservice.md 4.1, recorded).
 * `template` is the text with `{0}`, `{1}` for the parameters.
 */
function webError(status: number, code: string, extendedCode: string, template: string, ...parameters: readonly string[]): ArmError {
  const message = template.replace(/\{(\d)\}/g, (_all, at: string) => parameters[Number(at)] ?? "");
  const entity = { ExtendedCode: extendedCode, MessageTemplate: template, Parameters: parameters, Code: code, Message: message };
  const details = [{ Message: message }, { Code: code }, { ErrorEntity: entity }];
  return armError(status, code, message, { body: { Code: code, Message: message, Target: null, Details: details, Innererror: null } });
}

/** The refusals of Microsoft.Web, one a name. */
export const refusals = {
  notFound: (type: string, name: string, group: string): ArmError =>
    armError(
      404,
      "ResourceNotFound",
      `The Resource 'Microsoft.Web/${type}/${name}' under resource group '${group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`,
    ),
  noSlots: (): ArmError => armError(501, "NotImplementedByLocalAzure", "Local Azure makes no deployment slots yet."),
  /** Recorded. */
  nameTaken: (name: string): ArmError => webError(409, "Conflict", "54001", "Website with given name {0} already exists.", name),
  /** Recorded: also the answer to a Linux runtime on a Windows plan. */
  badRuntime: (): ArmError => webError(400, "BadRequest", "01007", "The parameter {0} has an invalid value.", "LinuxFxVersion"),
  /** Text from public threads; code inferred. */
  planMissing: (name: string): ArmError => webError(404, "NotFound", "51004", "Cannot find {0} with name {1}.", "ServerFarm", name),
  /** Text from public threads; code inferred (azure/appservice.md section 7: exact text not found). */
  planInUse: (plan: string, sites: readonly string[]): ArmError =>
    webError(
      409,
      "Conflict",
      "11003",
      "Server farm '{0}' cannot be deleted because it has web app(s) {1} assigned to it.",
      plan,
      sites.join(", "),
    ),
  /** Refusal documented, text inferred. */
  alwaysOn: (): ArmError =>
    webError(
      409,
      "Conflict",
      "04068",
      "There was a conflict. AlwaysOn cannot be set for this site as the plan does not allow it. For more information on pricing and features, please see: https://aka.ms/appservicepricingdetails",
    ),
  /** Inferred: a client is told by documents that plan and site share a region. */
  otherRegion: (plan: string): ArmError =>
    webError(409, "Conflict", "51021", "Web app and server farm {0} are not in the same region.", plan),
  invalid: (parameter: string): ArmError => webError(400, "BadRequest", "01007", "The parameter {0} has an invalid value.", parameter),
};
