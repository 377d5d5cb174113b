/** Get started: address, key, a snippet to paste, and the moment when the first record arrives. */
import { Button, Loader, Tabs, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Icon } from '@/components/icon';
import { collectorAddressQuery, fallbackAddress } from '@/features/start/api/get-collector-address';
import { CodeBlock } from '@/features/start/components/code-block';
import { KeyStep } from '@/features/start/components/key-step';
import classes from '@/features/start/components/start.module.css';
import { snippets } from '@/features/start/snippets';
import { hasRecordsQuery } from '@/lib/api/get-has-records';
import { sessionQuery } from '@/lib/api/get-session';
import { useProject } from '@/lib/project';
import type { LogRecord } from '@/lib/record';
import { rowText } from '@/lib/text';

const POLL_MS = 1_500;
const KEY_PLACEHOLDER = 'YOUR_INGEST_KEY';

export function StartPanel({ onExplore }: { onExplore: () => void }) {
  const session = useQuery(sessionQuery);
  const known = useQuery(collectorAddressQuery);
  const [typed, setTyped] = useState<string>();
  const [key, setKey] = useState<string>();
  const address = (typed ?? known.data ?? fallbackAddress()).replace(/\/+$/, '');
  const dev = session.data?.dev === true;
  const shown = snippets({ address, key: dev ? undefined : (key ?? KEY_PLACEHOLDER) });
  return (
    <div className={classes.panel}>
      <h1 className={classes.title}>Send your first record</h1>
      <p className={classes.lead}>
        Anything that speaks OpenTelemetry or can post JSON will do. A record is searchable, and in the live
        tail, the moment it is acknowledged.
      </p>
      <ol className={classes.steps}>
        <li className={classes.step}>
          <h2>1. Where to send</h2>
          <p>The collector’s address, as your services reach it.</p>
          <TextInput
            className={classes.address}
            size="sm"
            aria-label="Collector address"
            value={typed ?? known.data ?? fallbackAddress()}
            onChange={(event) => setTyped(event.currentTarget.value)}
          />
        </li>
        <li className={classes.step}>
          <h2>2. The key</h2>
          <KeyStep dev={dev} created={key} onCreated={setKey} />
        </li>
        <li className={classes.step}>
          <h2>3. Send</h2>
          <Tabs defaultValue="curl" variant="default" keepMounted={false}>
            <Tabs.List mb={12}>
              {shown.map((item) => (
                <Tabs.Tab key={item.id} value={item.id}>
                  {item.title}
                </Tabs.Tab>
              ))}
            </Tabs.List>
            {shown.map((item) => (
              <Tabs.Panel key={item.id} value={item.id}>
                {item.install && <CodeBlock title="Install" code={item.install} />}
                <CodeBlock title={item.file ?? 'Terminal'} code={item.code} />
              </Tabs.Panel>
            ))}
          </Tabs>
        </li>
        <li className={classes.step}>
          <h2>4. See it here</h2>
          <FirstRecord onExplore={onExplore} />
        </li>
      </ol>
    </div>
  );
}

function FirstRecord({ onExplore }: { onExplore: () => void }) {
  const { data: record, isError } = useQuery({
    ...hasRecordsQuery(useProject()),
    refetchInterval: (query) => (query.state.data ? false : POLL_MS),
  });
  if (record) return <Arrived record={record} onExplore={onExplore} />;
  return (
    <div className={classes.wait} role="status">
      <Loader size={18} />
      <div className={classes.waitText}>
        <strong>Waiting for your first record…</strong>
        {isError ? 'The server does not answer; trying again.' : 'This page notices by itself.'}
      </div>
    </div>
  );
}

function Arrived({ record, onExplore }: { record: LogRecord; onExplore: () => void }) {
  return (
    <div className={classes.wait} data-arrived="true" role="status">
      <Icon name="circle-check" size={22} style={{ color: 'var(--good)', flex: 'none' }} />
      <div className={classes.waitText}>
        <strong>Records are arriving</strong>
        <span className={classes.record}>
          {record.service}: {rowText(record.message)}
        </span>
      </div>
      <Button onClick={onExplore}>Explore</Button>
    </div>
  );
}
