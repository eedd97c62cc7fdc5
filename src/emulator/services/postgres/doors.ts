import { armError } from "../../http/arm-error.ts";
import { portHolder } from "../../machines/postgres/port-holder.ts";
import type { TokenGateway } from "../../machines/postgres/token-gateway.ts";
import { candidateAddress } from "./model.ts";

/** Azure's own, and the only one a client knows: a server without it is no server. */
export const POSTGRES_PORT = 5432;
const ADDRESS_ATTEMPTS = 50;
const ONLY_LOOPBACK = "127.0.0.1";

/** The code of the refusal when port 5432 can be had on no address of this machine. Local Azure's own: Azure has no such case. */
export const PORT_TAKEN = "LocalAzurePortTaken";

/**
 * Opens a server's door on port 5432 of a loopback address: the one it had, else one that is free. Where the system has only 127.0.0.1 (macOS), on that.
 * Throws an ArmError `LocalAzurePortTaken` that names who holds the port, when there is none.
 */
export async function openDoor(
  server: { readonly name: string; readonly address?: string },
  { home, taken, port = POSTGRES_PORT }: { readonly home: string; readonly taken: ReadonlySet<string>; readonly port?: number },
  open: (at: { readonly address: string; readonly port: number }) => Promise<TokenGateway>,
): Promise<TokenGateway> {
  const candidates = Array.from({ length: ADDRESS_ATTEMPTS }, (_, attempt) => candidateAddress(home, server.name, attempt));
  let refusal = "";
  for (const address of [...(server.address ? [server.address] : []), ...candidates, ONLY_LOOPBACK]) {
    if (taken.has(address) || (address === ONLY_LOOPBACK && refusal !== "EADDRNOTAVAIL" && server.address !== ONLY_LOOPBACK)) continue;
    try {
      return await open({ address, port });
    } catch (error) {
      refusal = (error as NodeJS.ErrnoException).code ?? "";
      if (!["EADDRINUSE", "EADDRNOTAVAIL", "EACCES"].includes(refusal)) throw error;
    }
  }
  throw armError(409, PORT_TAKEN, await describeTaken(server.name, port, refusal));
}

async function describeTaken(name: string, port: number, refusal: string): Promise<string> {
  const what = `The server '${name}' has no address: port ${port}`;
  if (refusal === "EACCES") return `${what} may not be listened on by this account.`;
  const holder = await portHolder(port);
  const others = `${holder ?? "another process (a PostgreSQL or a container with a published port is likely)"}`;
  const repair = `Stop it, or publish it on 127.0.0.1 only (Docker: -p 127.0.0.1:${port}:${port}), then run the command again.`;
  const seen = `\`ss -ltnp sport = :${port}\` shows it.`;
  return `${what} is taken on every loopback address by ${others}. ${holder ? "" : `${seen} `}${repair}`;
}
