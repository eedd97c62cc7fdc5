import type { EmulatorRequest } from "./router.ts";

/** The `properties` of an ARM body; none where it has none. `T` says no more than the route's shape, which was checked. */
export function propertiesOf<T extends object>({ body }: Pick<EmulatorRequest, "body">): Partial<T> {
  return (body as { readonly properties?: Partial<T> | null } | null | undefined)?.properties ?? {};
}
