import { findLocation } from "../resources/locations.ts";

/** One compute size. Connections: Azure documentation `concepts-limits`; IOPS: recorded capabilities (2022-12) and the same page. */
export interface ComputeSize {
  readonly tier: string;
  readonly vCores: number;
  readonly memoryGb: number;
  /** `max_connections` when the server is created; it is not recomputed when the size changes. */
  readonly maxConnections: number;
  readonly iops: number;
}

/** Of every `max_connections` these stay closed to users: `superuser_reserved_connections` + `reserved_connections`. */
export const RESERVED_CONNECTIONS = { superuser: 10, reserved: 5 } as const;

const BURSTABLE: Readonly<Record<string, ComputeSize>> = {
  standard_b1ms: { tier: "Burstable", vCores: 1, memoryGb: 2, maxConnections: 50, iops: 640 },
  standard_b2s: { tier: "Burstable", vCores: 2, memoryGb: 4, maxConnections: 429, iops: 1280 },
  standard_b2ms: { tier: "Burstable", vCores: 2, memoryGb: 8, maxConnections: 859, iops: 1920 },
  standard_b4ms: { tier: "Burstable", vCores: 4, memoryGb: 16, maxConnections: 1718, iops: 2880 },
  standard_b8ms: { tier: "Burstable", vCores: 8, memoryGb: 32, maxConnections: 3437, iops: 4320 },
  standard_b12ms: { tier: "Burstable", vCores: 12, memoryGb: 48, maxConnections: 5000, iops: 4320 },
  standard_b16ms: { tier: "Burstable", vCores: 16, memoryGb: 64, maxConnections: 5000, iops: 4320 },
  standard_b20ms: { tier: "Burstable", vCores: 20, memoryGb: 80, maxConnections: 5000, iops: 4320 },
};

const CONNECTIONS_BY_MEMORY: readonly (readonly [number, number])[] = [
  [8, 859],
  [16, 1718],
  [32, 3437],
];

const IOPS_BY_CORES: readonly (readonly [number, number])[] = [
  [2, 3200],
  [4, 6400],
  [8, 12800],
];

/** `Standard_D2ds_v5` and its like; `undefined` for a name Azure has no size for. */
export function computeSize(name: string): ComputeSize | undefined {
  const burstable = BURSTABLE[name.toLowerCase()];
  if (burstable) return burstable;
  const [, family, cores] = /^Standard_([DE])(2|4|8|16|20|32|48|64|96)(?:s_v3|ds_v[456]|ads_v[56]|d?s_v6)$/i.exec(name) ?? [];
  if (!family || !cores) return undefined;
  const vCores = Number(cores);
  const memoryGb = vCores * (family.toUpperCase() === "D" ? 4 : 8);
  return {
    tier: family.toUpperCase() === "D" ? "GeneralPurpose" : "MemoryOptimized",
    vCores,
    memoryGb,
    maxConnections: CONNECTIONS_BY_MEMORY.find(([memory]) => memoryGb <= memory)?.[1] ?? 5000,
    iops: IOPS_BY_CORES.find(([most]) => vCores <= most)?.[1] ?? 18_000,
  };
}

/** The sizes the capabilities list shows. */
export const offeredSizes = [
  ...["B1ms", "B2s", "B2ms", "B4ms", "B8ms", "B12ms", "B16ms", "B20ms"],
  ...[2, 4, 8, 16, 32, 48, 64, 96].flatMap((cores) => [`D${cores}ds_v5`, `D${cores}ads_v5`, `E${cores}ds_v5`, `E${cores}ads_v5`]),
].map((name) => `Standard_${name}`);

/** Premium SSD steps: GiB → IOPS and performance tier (recorded capabilities 2022-12; tiers but P4 and P10 from Azure's disk documentation). */
export const storageSteps: readonly { readonly sizeGb: number; readonly iops: number; readonly tier: string }[] = [
  { sizeGb: 32, iops: 120, tier: "P4" },
  { sizeGb: 64, iops: 240, tier: "P6" },
  { sizeGb: 128, iops: 500, tier: "P10" },
  { sizeGb: 256, iops: 1100, tier: "P15" },
  { sizeGb: 512, iops: 2300, tier: "P20" },
  { sizeGb: 1024, iops: 5000, tier: "P30" },
  { sizeGb: 2048, iops: 7500, tier: "P40" },
  { sizeGb: 4095, iops: 7500, tier: "P50" },
  { sizeGb: 4096, iops: 7500, tier: "P50" },
  { sizeGb: 8192, iops: 16_000, tier: "P60" },
  { sizeGb: 16_384, iops: 18_000, tier: "P70" },
  { sizeGb: 32_767, iops: 20_000, tier: "P80" },
];

/** Servers answer with the display name of their location though they were created with the short one. */
export function locationDisplayName(location: string): string {
  return findLocation(location)?.displayName ?? location;
}
