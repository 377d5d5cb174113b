/** The sheet of keyboard shortcuts. */
import { Kbd, Modal } from '@mantine/core';
import classes from '@/app/shortcuts-help.module.css';

const GROUPS: { title: string; keys: [keys: string[], does: string][] }[] = [
  {
    title: 'Search',
    keys: [
      [['/'], 'Go to the search bar'],
      [['Enter'], 'Search'],
      [['Tab'], 'Take the first completion'],
      [['t'], 'Choose the time range'],
      [['r'], 'Search again'],
      [['f'], 'Show or hide the filters'],
    ],
  },
  {
    title: 'Records',
    keys: [
      [['j', 'k'], 'Next, previous record'],
      [['Enter', 'o'], 'Open the record'],
      [['x'], 'What happened around it'],
      [['c'], 'Copy it as JSON'],
      [['Esc'], 'Close'],
    ],
  },
  {
    title: 'Live tail',
    keys: [
      [['l'], 'Live on or off'],
      [['p'], 'Pause or resume'],
    ],
  },
  { title: 'Everywhere', keys: [[['?'], 'This sheet']] },
];

export default function ShortcutsHelp({ onClose }: { onClose: () => void }) {
  return (
    <Modal opened onClose={onClose} title="Keyboard shortcuts" size="lg" centered>
      <div className={classes.groups}>
        {GROUPS.map((group) => (
          <section key={group.title}>
            <h3 className={classes.title}>{group.title}</h3>
            <dl className={classes.list}>
              {group.keys.map(([keys, does]) => (
                <div key={does} className={classes.line}>
                  <dt>
                    {keys.map((key) => (
                      <Kbd key={key} size="xs">
                        {key}
                      </Kbd>
                    ))}
                  </dt>
                  <dd>{does}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Modal>
  );
}
