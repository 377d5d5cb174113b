/** Nothing matched: what to try, as buttons. */
import { Button } from '@mantine/core';
import { MessageState } from '@/components/message-state';
import type { Explore } from '@/features/explore/state/use-explore-state';
import { rangeLabel, widerPreset } from '@/lib/time/range';

export function NoMatches({ state, resolved, update }: Explore) {
  const wider = widerPreset(resolved.toMs - resolved.fromMs);
  const label = rangeLabel(state.range, resolved.toMs);
  const hasQuery = state.query.trim() !== '';
  return (
    <MessageState
      icon={hasQuery ? 'filter-off' : 'inbox'}
      title={`${hasQuery ? 'Nothing matched' : 'No records'} in ${/^Last /.test(label) ? `the ${label.toLowerCase()}` : label}`}
      actions={
        <>
          {wider && (
            <Button onClick={() => update({ range: { from: wider.from, to: 'now' } })}>
              Search the {wider.label.toLowerCase()}
            </Button>
          )}
          {hasQuery && (
            <Button variant="default" onClick={() => update({ query: '' })}>
              Clear the search
            </Button>
          )}
          <Button variant="default" onClick={() => update({ live: true })}>
            Watch live
          </Button>
        </>
      }
    >
      {hasQuery
        ? 'Words look at the message only, and whole words. Try a part of a word as *part*, fewer filters, or a longer time.'
        : 'Your services sent nothing in this time. Look further back, or wait for what comes.'}
    </MessageState>
  );
}
