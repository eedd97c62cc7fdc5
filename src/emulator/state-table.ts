/** The legal pairs of event and state, each with the state that follows. Pairs left out are not legal. */
export type StateTable<State extends string, Event extends string> = Readonly<Record<Event, Readonly<Partial<Record<State, State>>>>>;

/** The state after an event. An illegal pair is a bug of local Azure, and throws: what a client may not do is refused before it gets here. */
export function stateAfter<State extends string, Event extends string>(table: StateTable<State, Event>, state: State, event: Event): State {
  const next = table[event][state];
  if (next === undefined) throw new Error(`'${event}' cannot happen in state '${state}'`);
  return next;
}
