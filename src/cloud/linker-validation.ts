import { defined } from "../base/defined.ts";

/** What Service Connector found when it checked a connection; never a login as the app. */
export interface LinkerValidation {
  readonly isAvailable: boolean;
  readonly items: readonly { readonly name: string; readonly isOk: boolean; readonly detail?: string }[];
  readonly message?: string;
}

/** The verdict as it stands in the status of the operation `validateLinker`. */
export interface WireValidation {
  readonly isConnectionAvailable?: boolean;
  readonly validationDetail?: readonly WireItem[] | null;
  readonly message?: string | null;
  /** Spelled with a capital in 2023. */
  readonly Message?: string | null;
}

interface WireItem {
  readonly name?: string;
  readonly description?: string | null;
  readonly result?: string | number;
  readonly errorMessage?: string | null;
}

/** The JSON text that older answers carry inside a message. */
interface PascalReport {
  readonly IsConnectionAvailable?: boolean;
  readonly ValidationDetail?: readonly {
    readonly Name?: string;
    readonly Description?: string | null;
    readonly Result?: string | number;
  }[];
}

/** 0 and `success` are recorded for success, `warning` is in the specification; other numbers were never seen. */
const isGood = (result: string | number | undefined): boolean =>
  result === 0 || (typeof result === "string" && ["success", "warning"].includes(result.toLowerCase()));

function toItem({ name, description, result, errorMessage }: WireItem): LinkerValidation["items"][number] {
  const detail = errorMessage ?? description;
  return { name: name ?? description ?? "", isOk: isGood(result), ...(detail && { detail }) };
}

function parseReport(words: string): PascalReport | undefined {
  try {
    const report: unknown = JSON.parse(words);
    return typeof report === "object" && report !== null ? (report as PascalReport) : undefined;
  } catch {
    return undefined;
  }
}

/** The verdict in any of the three recorded forms: structured (2023), JSON inside `message` (2022), words (2021). */
export function toValidation(properties: WireValidation | null | undefined): LinkerValidation {
  const words = properties?.Message ?? properties?.message ?? "";
  if (properties?.isConnectionAvailable !== undefined) {
    return { isAvailable: properties.isConnectionAvailable, items: (properties.validationDetail ?? []).map(toItem) };
  }
  const report = parseReport(words);
  if (report) {
    const items = (report.ValidationDetail ?? []).map(({ Name, Description, Result }) =>
      toItem(defined({ name: Name, description: Description, result: Result })),
    );
    return { isAvailable: report.IsConnectionAvailable ?? false, items };
  }
  return { isAvailable: /IsConnectionAvailable: True/i.test(words), items: [], ...(words !== "" && { message: words }) };
}
