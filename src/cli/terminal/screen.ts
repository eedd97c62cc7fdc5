import type { Spinner } from "./spinner.ts";

export interface OutputStreams {
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
}

/** The two streams of a run, which are one terminal when a person sits there, and the lines at its end that are drawn over and over. */
export interface Screen {
  out(text: string): void;
  err(text: string): void;
  /** Keeps these lines at the end of stderr until the answer is called. */
  animate(lines: (columns: number) => string): () => void;
  /** Leaves the terminal to `work`: nothing is drawn meanwhile. */
  lend<T>(work: () => Promise<T>): Promise<T>;
}

const REDRAW_MS = 120;

export function createScreen({ stdout, stderr }: OutputStreams, hasColor: boolean): Screen {
  let spinner: Spinner | undefined;
  let isLent = false;
  const draw = (): void => {
    if (!isLent) spinner?.draw();
  };
  /** Everything that is written goes through here: the lines at the end would else take the words away with them. */
  const write = (stream: NodeJS.WritableStream, text: string): void => {
    spinner?.clear();
    stream.write(text);
    draw();
  };
  return {
    out: (text) => write(stdout, text),
    err: (text) => write(stderr, text),
    animate: (lines) => {
      let isOver = false;
      // Loaded when there is something to draw: most runs of scripts have nothing.
      void import("./spinner.ts").then(({ createSpinner }) => {
        if (isOver) return;
        spinner = createSpinner(stderr, hasColor, () => lines(stderr.columns ?? 80));
        draw();
      });
      const timer = setInterval(draw, REDRAW_MS).unref();
      return () => {
        isOver = true;
        clearInterval(timer);
        spinner?.clear();
        spinner = undefined;
      };
    },
    lend: async (work) => {
      spinner?.clear();
      isLent = true;
      try {
        return await work();
      } finally {
        isLent = false;
      }
    },
  };
}
