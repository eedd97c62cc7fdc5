import { isSameId, parseResourceId } from "../../../base/resource-id.ts";
import { type ArmError, armError } from "../../http/arm-error.ts";
import type { BodyShape } from "../../http/body-shape.ts";
import { propertiesOf } from "../../http/properties-of.ts";
import { type EmulatorRequest, empty, json, type Route, route } from "../../http/router.ts";
import type { DirectoryPrincipal, Platform, Service } from "../../platform.ts";
import { requireKnownGroup } from "../resources/groups.ts";
import { assignmentsOf, isWithin, type RoleAssignment } from "./access.ts";
import { builtInRoles, roleOf } from "./roles.ts";
import { assignmentToWire, roleToWire } from "./wire.ts";

const AT = "/{scope...}/providers/Microsoft.Authorization";
const ASSIGNMENT = `${AT}/roleAssignments/{assignment}`;

/**
 * Role assignments and the built-in roles they name: learn.microsoft.com/rest/api/authorization (2022-04-01). The texts of refusals are those
 * of learn.microsoft.com/azure/role-based-access-control/troubleshooting where it has them, else inferred. Conditions are not served.
 */
export function authorizationRoutes(platform: Platform, services: () => readonly Service[]): readonly Route[] {
  const { directory, endpoints } = platform;
  const assignments = assignmentsOf(platform);
  const wire = (assignment: RoleAssignment): object => assignmentToWire(assignment, endpoints.subscriptionId);
  const requireScope = (scope: string): void => checkScope(platform, services, scope);
  const put = (request: EmulatorRequest): Response => {
    const wanted = assignmentFrom(request, directory.find(propertiesOf<Given>(request).principalId ?? ""));
    requireScope(wanted.scope);
    const before = assignments.get(wanted.id);
    if (before && isSame(before, wanted)) return json(200, wire(before));
    if (before) throw armError(400, "RoleAssignmentUpdateNotPermitted", NO_UPDATE);
    if (assignments.list().some((other) => isSame(other, wanted))) {
      throw armError(409, "RoleAssignmentExists", "The role assignment already exists.");
    }
    const assignment = { ...wanted, createdOn: new Date(platform.clock.now()).toISOString() };
    assignments.set(assignment.id, assignment);
    return json(201, wire(assignment));
  };
  return [
    route("PUT", ASSIGNMENT, "specification", assignmentBody, put),
    route("GET", ASSIGNMENT, "specification", (request) => {
      const found = assignments.get(idOf(request));
      if (found) return json(200, wire(found));
      throw armError(404, "RoleAssignmentNotFound", `The role assignment '${request.params.assignment}' is not found.`); // inferred
    }),
    route("DELETE", ASSIGNMENT, "specification", (request) => {
      const found = assignments.get(idOf(request));
      if (!found) return empty(204);
      assignments.delete(found.id);
      return json(200, wire(found));
    }),
    route("GET", `${AT}/roleAssignments`, "specification", (request) => {
      requireScope(scopeOf(request));
      return json(200, { value: assignments.list().filter(filterOf(request)).map(wire) });
    }),
    route("GET", `${AT}/roleDefinitions`, "specification", ({ url }) => {
      const name = /roleName\s+eq\s+'([^']*)'/i.exec(url.searchParams.get("$filter") ?? "")?.[1]?.toLowerCase();
      const found = builtInRoles.filter((role) => name === undefined || role.name.toLowerCase() === name);
      return json(200, { value: found.map((role) => roleToWire(role, endpoints.subscriptionId)) });
    }),
    route("GET", `${AT}/roleDefinitions/{role}`, "specification", ({ params }) => {
      const role = roleOf(params.role ?? "");
      if (!role) throw unknownRole(params.role ?? "");
      return json(200, roleToWire(role, endpoints.subscriptionId));
    }),
  ];
}

const NO_UPDATE = "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.";
const GUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const scopeOf = ({ params }: EmulatorRequest): string => `/${params.scope ?? ""}`;
const idOf = (request: EmulatorRequest): string =>
  `${scopeOf(request)}/providers/Microsoft.Authorization/roleAssignments/${request.params.assignment}`;

/** `properties` of a PUT. */
const assignmentBody: BodyShape = {
  "properties.roleDefinitionId": "text",
  "properties.principalId": "text",
  "properties.principalType": "text",
  "properties.description": "text",
  "properties.condition": "text",
};

interface Given {
  readonly roleDefinitionId?: string;
  readonly principalId?: string;
  readonly principalType?: string;
  readonly description?: string;
  readonly condition?: string;
}

/** What a PUT asks for, checked in itself; not yet dated. */
function assignmentFrom(request: EmulatorRequest, principal: DirectoryPrincipal | undefined): RoleAssignment {
  const { roleDefinitionId, principalId, principalType, description, condition } = propertiesOf<Given>(request);
  const name = request.params.assignment ?? "";
  if (!GUID.test(name)) throw armError(400, "InvalidRoleAssignmentId", `The role assignment ID '${name}' is not valid. It must be a GUID.`);
  if (!roleDefinitionId || !principalId) {
    throw armError(400, "InvalidCreateRoleAssignmentRequest", "The request needs properties.roleDefinitionId and properties.principalId.");
  }
  if (condition) throw armError(501, "NotImplementedByLocalAzure", "Local Azure has no conditions on role assignments.");
  const role = roleOf(roleDefinitionId);
  if (!role) throw unknownRole(roleDefinitionId);
  if (!principal) {
    throw armError(
      400,
      "PrincipalNotFound",
      `Principal ${principalId.replaceAll("-", "")} does not exist in the directory. ${REPLICATION}`,
    );
  }
  if (principalType && principalType !== principal.type) {
    throw armError(
      400,
      "UnmatchedPrincipalType",
      `The PrincipalId '${principalId.replaceAll("-", "")}' has type '${principal.type}', which is different from specified PrincipalType '${principalType}'.`,
    );
  }
  return {
    id: idOf(request),
    name,
    scope: scopeOf(request),
    roleGuid: role.guid,
    principalId: principal.objectId,
    principalType: principal.type,
    ...(description ? { description } : {}),
    createdOn: "",
    createdBy: request.caller?.oid ?? "",
  };
}

const REPLICATION =
  "Check that you have the correct principal ID. If you are creating this principal and then immediately assigning a role, this error might be related to a replication delay. In this case, set the role assignment principalType property to a value, such as ServicePrincipal, User, or Group.";

function unknownRole(id: string): ArmError {
  const guid = id.split("/").at(-1) ?? "";
  return armError(400, "RoleDefinitionDoesNotExist", `The specified role definition with ID '${guid.replaceAll("-", "")}' does not exist.`);
}

function isSame(left: RoleAssignment, right: RoleAssignment): boolean {
  return isSameId(left.scope, right.scope) && left.roleGuid === right.roleGuid && left.principalId === right.principalId;
}

/** `atScope()`: at the scope or above it; `principalId eq '…'`, `assignedTo('…')`: this principal's; without a filter also those below. */
function filterOf(request: EmulatorRequest): (assignment: RoleAssignment) => boolean {
  const scope = scopeOf(request);
  const filter = request.url.searchParams.get("$filter") ?? "";
  const principal = /(?:principalId\s+eq\s+|assignedTo\()'([^']*)'/i.exec(filter)?.[1]?.toLowerCase();
  const isAtScope = /atScope\(\)/i.test(filter);
  return (assignment) =>
    (principal === undefined || assignment.principalId === principal) &&
    (isWithin(scope, assignment.scope) || (!isAtScope && isWithin(assignment.scope, scope)));
}

/** Roles are assigned on what is there. */
function checkScope(platform: Platform, services: () => readonly Service[], scope: string): void {
  if (/^\/subscriptions\/[^/]+$/i.test(scope)) return;
  const group = requireKnownGroup(platform, scope);
  if (isSameId(group.id, scope)) return;
  const [type, name] = parseResourceId(scope)?.path ?? [];
  const isThere = services().some((service) => service.resources?.(group.id).some(({ id }) => isWithin(scope, id)));
  if (!isThere)
    throw armError(404, "ResourceNotFound", `The resource '${type}/${name}' under resource group '${group.name}' was not found.`);
}
