/**
 * Pay-as-you-go list prices in US dollars a month of 730 hours, Linux, region East US, as published by Microsoft up to 2025.
 * Other regions differ by some tens of percent; a price that is not known here is not guessed.
 */
const serverPerMonth: Readonly<Record<string, number>> = {
  Standard_B1ms: 12.41,
  Standard_B2s: 49.64,
  Standard_B2ms: 99.28,
  Standard_D2ds_v5: 129.94,
  Standard_D4ds_v5: 259.88,
};
const storagePerGb = 0.115;
const planPerMonth: Readonly<Record<string, number>> = { F1: 0, B1: 12.41, B2: 24.82, B3: 49.64, S1: 69.35, P0v3: 56.94, P1v3: 113.88 };

interface Priced {
  readonly server: { readonly sku: string; readonly storageGb: number };
  readonly plans: readonly { readonly sku: string }[];
}

/** `undefined` when one part's price is not known. */
export function monthlyPrice(setup: Priced): { readonly dollars: number; readonly basis: string } | undefined {
  const parts = [
    serverPerMonth[setup.server.sku],
    setup.server.storageGb * storagePerGb,
    ...setup.plans.map(({ sku }) => planPerMonth[sku]),
  ];
  let dollars = 0;
  for (const part of parts) {
    if (part === undefined) return undefined;
    dollars += part;
  }
  return { dollars: Math.round(dollars * 100) / 100, basis: "list prices of East US, without traffic and backups beyond the included" };
}
