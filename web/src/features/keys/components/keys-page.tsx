/** API keys of all projects: list, create, revoke. */

import { Badge, Button, Group } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Alarm } from '@/components/alarm';
import { ConfirmButton } from '@/components/confirm-button';
import { ErrorState, errorText } from '@/components/error-state';
import { Icon } from '@/components/icon';
import { MessageState } from '@/components/message-state';
import { Card, DataTable, Page } from '@/components/page';
import { TableSkeleton } from '@/components/table-skeleton';
import { type ApiKey, keysQuery } from '@/features/keys/api/get-keys';
import { revokeKey } from '@/features/keys/api/revoke-key';
import { CreateKeyModal } from '@/features/keys/components/create-key-modal';
import { fullTime, relativeTime } from '@/lib/time/timestamp';

export function KeysPage() {
  const [creating, setCreating] = useState(false);
  const keys = useQuery(keysQuery);
  const create = (
    <Button leftSection={<Icon name="plus" size={14} />} onClick={() => setCreating(true)}>
      Create key
    </Button>
  );
  return (
    <Page
      title="API keys"
      lead="Services send records with a key, programs search with one. A key belongs to one project and may do what its scopes say."
      actions={create}
    >
      <Card>
        {keys.isPending && <TableSkeleton label="Loading the keys" />}
        {keys.isError && (
          <ErrorState error={keys.error} title="The keys did not load" onRetry={() => keys.refetch()} />
        )}
        {keys.data?.length === 0 && (
          <MessageState icon="key" title="No keys yet" actions={create}>
            Make one with the scope “ingest” for each service that sends records.
          </MessageState>
        )}
        {keys.data && keys.data.length > 0 && <KeyTable keys={keys.data} />}
      </Card>
      <CreateKeyModal opened={creating} onClose={() => setCreating(false)} />
    </Page>
  );
}

function KeyTable({ keys }: { keys: ApiKey[] }) {
  const head = (
    <>
      <th>Name</th>
      <th>Project</th>
      <th>Scopes</th>
      <th>Created</th>
      <th>Last used</th>
      <th>Expires</th>
      <th>
        <span className="visually-hidden">Actions</span>
      </th>
    </>
  );
  return (
    <DataTable label="API keys" head={head}>
      {keys.map((key) => (
        <KeyRow key={key.id} item={key} />
      ))}
    </DataTable>
  );
}

function KeyRow({ item }: { item: ApiKey }) {
  const client = useQueryClient();
  const revoke = useMutation({
    mutationFn: revokeKey,
    onSuccess: () => client.invalidateQueries({ queryKey: keysQuery.queryKey }),
  });
  return (
    <tr>
      <td>
        <strong>{item.name || 'unnamed'}</strong>
        <div className="mono" style={{ color: 'var(--text-3)', fontSize: 11.5 }}>
          {item.prefix}…
        </div>
      </td>
      <td>{item.project}</td>
      <td>
        <Group gap={4} wrap="nowrap">
          {item.scopes.map((scope) => (
            <Badge
              key={scope}
              variant="light"
              color={scope === 'admin' ? 'orange' : 'brand'}
              radius="sm"
              tt="none"
              miw="max-content"
            >
              {scope}
            </Badge>
          ))}
        </Group>
      </td>
      <td>
        <When at={item.created_at} />
      </td>
      <td>
        <When at={item.last_used_at} />
      </td>
      <td>
        <When at={item.expires_at} />
      </td>
      <td data-number>
        <ConfirmButton
          label="Revoke"
          describe={`Revoke key ${item.name}`}
          question={`What uses “${item.name}” will be refused at once. This can’t be undone.`}
          loading={revoke.isPending}
          onConfirm={() => revoke.mutate(item.id)}
        />
        {revoke.isError && <Alarm>{errorText(revoke.error)}</Alarm>}
      </td>
    </tr>
  );
}

function When({ at }: { at: string | null | undefined }) {
  if (!at) return <span style={{ color: 'var(--text-3)' }}>never</span>;
  return (
    <time dateTime={at} title={fullTime(at)} style={{ whiteSpace: 'nowrap' }}>
      {relativeTime(at, Date.now())}
    </time>
  );
}
