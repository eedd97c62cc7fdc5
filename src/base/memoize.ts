/** What `work` promises, asked for once: at the first call. A failure is kept, too. */
export function memoize<T>(work: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | undefined;
  return () => {
    answer ??= work();
    return answer;
  };
}

/** As `memoize`, once for each key. */
export function memoizeByKey<T>(work: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const answers = new Map<string, Promise<T>>();
  return (key) => {
    const answer = answers.get(key) ?? work(key);
    answers.set(key, answer);
    return answer;
  };
}
