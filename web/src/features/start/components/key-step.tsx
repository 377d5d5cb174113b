/** The ingest key: none with `--dev`, else the ready one from the secrets file or a new one made here. */

import { Button } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { Alarm } from '@/components/alarm';
import { errorText } from '@/components/error-state';
import { Icon } from '@/components/icon';
import { SecretBox } from '@/components/secret-box';
import { createKey } from '@/lib/api/create-key';
import { useProject } from '@/lib/project';

interface KeyStepProps {
  dev: boolean;
  created: string | undefined;
  onCreated: (key: string) => void;
}

export function KeyStep({ dev, created, onCreated }: KeyStepProps) {
  const project = useProject();
  const mutation = useMutation({ mutationFn: createKey, onSuccess: onCreated });
  if (dev) {
    return (
      <p>
        None is needed: this server runs with <code>--dev</code>, for this machine only.
      </p>
    );
  }
  if (created !== undefined) {
    return <SecretBox secret={created} note="This key is shown only now; it stands in the snippets below." />;
  }
  const make = () => mutation.mutate({ name: 'first key', project, scopes: ['ingest'] });
  return (
    <>
      {project === undefined ? (
        <p>
          A ready ingest key is in the secrets file that the server named on its first start, as{' '}
          <code>ingest_key</code>. Or make one here; it goes into the snippets below.
        </p>
      ) : (
        <p>A key belongs to one project. Make one for “{project}” here; it goes into the snippets below.</p>
      )}
      <Button
        variant="default"
        leftSection={<Icon name="key" size={14} />}
        loading={mutation.isPending}
        onClick={make}
      >
        Create an ingest key
      </Button>
      {mutation.isError && (
        <div style={{ marginTop: 8 }}>
          <Alarm>{errorText(mutation.error)}</Alarm>
        </div>
      )}
    </>
  );
}
