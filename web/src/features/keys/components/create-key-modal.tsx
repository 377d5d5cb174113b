/** Making a key: name, scopes, then the key itself, once. */

import { Button, Checkbox, Group, Modal, Select, Stack, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { Alarm } from '@/components/alarm';
import { errorText } from '@/components/error-state';
import { SecretBox } from '@/components/secret-box';
import { keysQuery } from '@/features/keys/api/get-keys';
import { createKey } from '@/lib/api/create-key';
import { sessionQuery } from '@/lib/api/get-session';
import { DEFAULT_PROJECT, useProject } from '@/lib/project';

const SCOPES = [
  { scope: 'ingest', meaning: 'send records' },
  { scope: 'query', meaning: 'search, watch and export' },
  { scope: 'admin', meaning: 'manage keys and dead letters' },
];

export function CreateKeyModal({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <Modal opened={opened} onClose={onClose} title="Create a key" centered size="md">
      {opened && <CreateKeyForm onClose={onClose} />}
    </Modal>
  );
}

function CreateKeyForm({ onClose }: { onClose: () => void }) {
  const session = useQuery(sessionQuery);
  const projects = session.data?.projects ?? [];
  const looksAt = useProject();
  const [name, setName] = useState('');
  const [project, setProject] = useState(looksAt ?? DEFAULT_PROJECT);
  const [scopes, setScopes] = useState<string[]>(['ingest']);
  const client = useQueryClient();
  const mutation = useMutation({
    mutationFn: createKey,
    onSuccess: () => client.invalidateQueries({ queryKey: keysQuery.queryKey }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    mutation.mutate({ name: name.trim(), project, scopes });
  };
  if (mutation.isSuccess) {
    return (
      <Stack>
        <SecretBox
          secret={mutation.data}
          note="This key is shown only now. Keep it where your service reads it."
        />
        <Group justify="flex-end">
          <Button onClick={onClose}>Done</Button>
        </Group>
      </Stack>
    );
  }
  return (
    <form onSubmit={submit}>
      <Stack gap={14}>
        <TextInput
          label="Name"
          description="What will use it, so that you know later what breaks without it"
          placeholder="shop-web production"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          required
          data-autofocus
        />
        {projects.length > 1 && (
          <Select
            size="xs"
            label="Project"
            data={projects}
            value={project}
            onChange={(value) => value && setProject(value)}
            allowDeselect={false}
          />
        )}
        <Checkbox.Group label="It may" value={scopes} onChange={setScopes} size="xs">
          <Stack gap={8} mt={6}>
            {SCOPES.map(({ scope, meaning }) => (
              <Checkbox key={scope} value={scope} label={`${scope}: ${meaning}`} />
            ))}
          </Stack>
        </Checkbox.Group>
        {mutation.isError && <Alarm>{errorText(mutation.error)}</Alarm>}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button
            type="submit"
            loading={mutation.isPending}
            disabled={name.trim() === '' || scopes.length === 0}
          >
            Create key
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
