import ora from "ora";

/** The last lines of a terminal, drawn over and over below everything else. */
export interface Spinner {
  draw(): void;
  clear(): void;
}

/**
 * `lines`: what is to stand there, asked at each drawing. ora draws when it is told to: its own timer would keep a run alive that stands still,
 * and a cursor that it has hidden would stay so after a run that was killed.
 */
export function createSpinner(stream: NodeJS.WritableStream, hasColor: boolean, lines: () => string): Spinner {
  const spinner = ora({ stream, color: hasColor ? "cyan" : false, isEnabled: true });
  return {
    draw: () => {
      spinner.text = lines();
      spinner.render();
    },
    clear: () => void spinner.clear(),
  };
}
