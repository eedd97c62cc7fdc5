import { build, type Metafile } from "esbuild";

/** The command line and local Azure's process, split so that a command loads only what it needs; what went in is in the answer. */
export async function bundle(outdir: string, { isWritten = true }: { readonly isWritten?: boolean } = {}): Promise<Metafile> {
  const { metafile } = await build({
    entryPoints: ["src/cli/main.ts", "src/emulator/daemon.ts"],
    bundle: true,
    splitting: true,
    minify: true,
    format: "esm",
    platform: "node",
    target: "node20",
    outdir,
    entryNames: "[name]",
    chunkNames: "chunks/[name]-[hash]",
    logLevel: "warning",
    // CommonJS packages in the bundle ask for Node's own modules.
    banner: { js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);" },
    metafile: true,
    write: isWritten,
  });
  return metafile;
}
