/** A button that copies a text and says so for a moment. */
import { ActionIcon, Button, Tooltip } from '@mantine/core';
import { useState } from 'react';
import { Icon, type IconName } from '@/components/icon';
import { copyText } from '@/lib/clipboard';

interface CopyButtonProps {
  text: string | (() => string);
  /** What is copied, for the label: "Copy curl command". */
  label: string;
  /** With words beside the icon, or the icon alone. */
  wide?: boolean;
  icon?: IconName;
}

export function CopyButton({ text, label, wide = false, icon: idleIcon = 'copy' }: CopyButtonProps) {
  const [state, setState] = useState<'idle' | 'copied' | 'failed'>('idle');
  const copy = async () => {
    const copied = await copyText(typeof text === 'string' ? text : text());
    setState(copied ? 'copied' : 'failed');
    window.setTimeout(() => setState('idle'), 1_600);
  };
  const says = { idle: label, copied: 'Copied', failed: 'The browser refused; select and copy by hand' }[
    state
  ];
  const icon = <Icon name={state === 'copied' ? 'check' : idleIcon} size={14} />;
  if (wide) {
    return (
      <Button variant="default" leftSection={icon} onClick={copy} aria-label={says}>
        {state === 'idle' ? 'Copy' : state === 'copied' ? 'Copied' : 'Not copied'}
      </Button>
    );
  }
  return (
    <Tooltip label={says}>
      <ActionIcon size={24} aria-label={says} onClick={copy}>
        {icon}
      </ActionIcon>
    </Tooltip>
  );
}
