/** A button for what can't be undone: asks in place before it does it. */
import { Button, Group, Text } from '@mantine/core';
import { useState } from 'react';
import { Popup } from '@/components/popup';

interface ConfirmButtonProps {
  /** On the button: "Revoke". */
  label: string;
  /** For those who can't see which row it stands in: "Revoke key shop-web". */
  describe: string;
  question: string;
  onConfirm: () => void;
  loading?: boolean;
}

export function ConfirmButton({ label, describe, question, onConfirm, loading }: ConfirmButtonProps) {
  const [opened, setOpened] = useState(false);
  const confirm = () => {
    setOpened(false);
    onConfirm();
  };
  return (
    <Popup
      opened={opened}
      onOpened={setOpened}
      label={describe}
      width={280}
      target={
        <Button
          variant="subtle"
          color="red"
          c="var(--bad)"
          size="compact-sm"
          aria-label={describe}
          loading={loading}
          onClick={() => setOpened(!opened)}
        >
          {label}
        </Button>
      }
    >
      <Text size="sm" mb={12}>
        {question}
      </Text>
      <Group gap={8} justify="flex-end">
        <Button variant="default" size="compact-sm" onClick={() => setOpened(false)} data-autofocus>
          Keep
        </Button>
        <Button color="red" size="compact-sm" onClick={confirm}>
          {label}
        </Button>
      </Group>
    </Popup>
  );
}
