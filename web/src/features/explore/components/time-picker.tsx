/** The time range: presets that stay relative, or two moments. Texts such as `-36h` and RFC 3339 work too. */
import { Button, TextInput, UnstyledButton } from '@mantine/core';
import { type FormEvent, useEffect, useState } from 'react';
import { Icon } from '@/components/icon';
import { Popup } from '@/components/popup';
import classes from '@/features/explore/components/time-picker.module.css';
import {
  isRelative,
  PRESETS,
  parseTime,
  type ResolvedRange,
  rangeLabel,
  type TimeRange,
  toLocalInput,
} from '@/lib/time/range';

interface TimePickerProps {
  range: TimeRange;
  resolved: ResolvedRange;
  opened: boolean;
  onOpened: (opened: boolean) => void;
  onChange: (range: TimeRange) => void;
}

export function TimePicker({ range, resolved, opened, onOpened, onChange }: TimePickerProps) {
  const choose = (next: TimeRange) => {
    onChange(next);
    onOpened(false);
  };
  return (
    <Popup
      opened={opened}
      onOpened={onOpened}
      label="Choose a time range"
      target={
        <Button
          variant="default"
          className={classes.button}
          leftSection={<Icon name="clock" size={15} />}
          rightSection={<Icon name="chevron-down" size={14} />}
          onClick={() => onOpened(!opened)}
          aria-label={`Time range: ${rangeLabel(range, resolved.toMs)}`}
        >
          {rangeLabel(range, resolved.toMs)}
        </Button>
      }
    >
      <div className={classes.body}>
        <div className={classes.presets}>
          {PRESETS.map((preset) => (
            <UnstyledButton
              key={preset.from}
              className={classes.preset}
              aria-pressed={isRelative(range) && range.from === preset.from}
              onClick={() => choose({ from: preset.from, to: 'now' })}
            >
              {preset.label}
            </UnstyledButton>
          ))}
        </div>
        <AbsoluteForm range={range} resolved={resolved} onChoose={choose} />
      </div>
    </Popup>
  );
}

interface AbsoluteFormProps {
  range: TimeRange;
  resolved: ResolvedRange;
  onChoose: (range: TimeRange) => void;
}

function AbsoluteForm({ range, resolved, onChoose }: AbsoluteFormProps) {
  const [from, setFrom] = useState('');
  const [to, setTo] = useState('');
  const [error, setError] = useState<string>();
  useEffect(() => {
    setFrom(toLocalInput(resolved.fromMs).replace('T', ' '));
    setTo(range.to === 'now' ? 'now' : toLocalInput(resolved.toMs).replace('T', ' '));
  }, [resolved, range.to]);
  const apply = (event: FormEvent) => {
    event.preventDefault();
    const problem = rangeProblem(from, to);
    setError(problem);
    if (problem === undefined) onChoose({ from: urlTime(from), to: urlTime(to) });
  };
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return (
    <form className={classes.absolute} onSubmit={apply}>
      <TextInput label="From" value={from} onChange={(event) => setFrom(event.currentTarget.value)} />
      <TextInput label="To" value={to} onChange={(event) => setTo(event.currentTarget.value)} error={error} />
      <Button type="submit">Apply</Button>
      <p className={classes.note}>
        Local time ({zone}). Also <code>-36h</code>, <code>now</code> or a time with a zone.
      </p>
    </form>
  );
}

function rangeProblem(from: string, to: string): string | undefined {
  const now = Date.now();
  const fromMs = parseTime(from, now);
  const toMs = parseTime(to, now);
  if (fromMs === undefined) return 'From is no time. Write 2026-11-22 10:00 or -2h.';
  if (toMs === undefined) return 'To is no time. Write 2026-11-22 11:00 or now.';
  return fromMs < toMs ? undefined : 'From must be before To.';
}

/** Relative texts stay as they are; moments become RFC 3339, so that a link means the same in every time zone. */
function urlTime(text: string): string {
  const trimmed = text.trim();
  if (trimmed === 'now' || /^(now)?-/.test(trimmed)) return trimmed.replace(/^now-/, '-');
  return new Date(parseTime(trimmed, 0) ?? 0).toISOString();
}
