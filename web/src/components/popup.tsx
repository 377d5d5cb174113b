/** A small dialog at a button: holds the keyboard while it is open and gives it back. */
import { Popover } from '@mantine/core';
import type { ReactElement, ReactNode } from 'react';

interface PopupProps {
  opened: boolean;
  onOpened: (opened: boolean) => void;
  /** What it is for, for those who can't see where it stands. */
  label: string;
  /** In pixels; as wide as its content unless given. */
  width?: number;
  /** The button. */
  target: ReactElement;
  children: ReactNode;
}

export function Popup({ opened, onOpened, label, width, target, children }: PopupProps) {
  return (
    <Popover
      opened={opened}
      onChange={onOpened}
      position="bottom-end"
      shadow="md"
      width={width}
      trapFocus
      returnFocus
    >
      <Popover.Target>{target}</Popover.Target>
      <Popover.Dropdown p={10} aria-label={label}>
        {children}
      </Popover.Dropdown>
    </Popover>
  );
}
