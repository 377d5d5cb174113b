/** Keyboard shortcuts of a page: one listener, silent while the user types or a menu has the keyboard. */
import { useEffect, useRef } from 'react';

/** From the key as `KeyboardEvent.key` names it to what it does. */
export type Shortcuts = Record<string, () => void>;

export function useShortcuts(shortcuts: Shortcuts, enabled = true): void {
  const latest = useRef(shortcuts);
  latest.current = shortcuts;
  useEffect(() => {
    if (!enabled) return;
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (isBusy(event.target, event.key)) return;
      const action = latest.current[event.key];
      if (action === undefined) return;
      event.preventDefault();
      action();
    };
    // On the way down: an open tooltip keeps Escape for itself on the way up.
    window.addEventListener('keydown', onKeyDown, true);
    return () => window.removeEventListener('keydown', onKeyDown, true);
  }, [enabled]);
}

/** True in fields, in menus and dialogs that use the keys themselves, and for Enter on what it would press. */
function isBusy(target: EventTarget | null, key: string): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.closest('input, textarea, select, [role="textbox"]')) return true;
  // Menus, popovers and dialogs hang in portals; the open record does not.
  if (target.closest('[data-portal]')) return true;
  return key === 'Enter' && target.closest('a, button, summary') !== null;
}
