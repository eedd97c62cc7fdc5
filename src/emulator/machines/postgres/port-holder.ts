import { readdir, readFile, readlink } from "node:fs/promises";

const LISTENING = "0A";

/**
 * Who listens on a TCP port of this machine, on all addresses if somebody does: `process 4711 (docker-proxy)`, several with a comma. `undefined` where the system does not say: on one without
 * `/proc`, or when the process is another account's.
 */
export async function portHolder(port: number): Promise<string | undefined> {
  const sockets = (await Promise.all(["tcp", "tcp6"].map((table) => socketsOn(port, table)))).flat();
  if (sockets.length === 0) return undefined;
  const onAll = sockets.filter(({ address }) => /^0+$/.test(address));
  const wanted = new Set((onAll.length > 0 ? onAll : sockets).map(({ inode }) => `socket:[${inode}]`));
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name) && name !== `${process.pid}`);
  const holders: string[] = [];
  for (const pid of pids) {
    if (!(await holdsOne(pid, wanted))) continue;
    const name = (await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "")).trim();
    holders.push(`process ${pid}${name ? ` (${name})` : ""}`);
  }
  return holders.length > 0 ? holders.join(", ") : undefined;
}

/** Inodes of the sockets that listen on a port. Source: `proc_net_tcp.rst` of the kernel: the second field is the local address, the tenth the inode. */
async function socketsOn(port: number, table: string): Promise<readonly { readonly address: string; readonly inode: string }[]> {
  const text = await readFile(`/proc/net/${table}`, "utf8").catch(() => "");
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return text.split("\n").flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [, local = "", , state, , , , , , inode] = fields;
    return local.endsWith(suffix) && state === LISTENING && inode ? [{ address: local.slice(0, -suffix.length), inode }] : [];
  });
}

async function holdsOne(pid: string, sockets: ReadonlySet<string>): Promise<boolean> {
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  for (const descriptor of descriptors) {
    if (sockets.has(await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => ""))) return true;
  }
  return false;
}
