import type { WebSiteManagementContext } from "@azure/arm-appservice/api";
import type { Arm } from "../arm.ts";

/** The connection that the operations of `@azure/arm-appservice` 19 work over: its modular form, since the whole client is 9 MB. */
export async function appServiceClient({ context, clientOptions }: Arm): Promise<WebSiteManagementContext> {
  const { createWebSiteManagement } = await import("@azure/arm-appservice/api");
  return createWebSiteManagement(context.credential, context.subscriptionId, clientOptions);
}
