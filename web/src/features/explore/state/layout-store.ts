/** Whether the facets are shown beside the results; kept by the browser. */
import { create } from 'zustand';

const KEY = 'devlogs-facets';

interface LayoutStore {
  facetsShown: boolean;
  toggleFacets: () => void;
}

export const useLayoutStore = create<LayoutStore>((set, get) => ({
  facetsShown: read() !== 'hidden',
  toggleFacets: () => {
    const facetsShown = !get().facetsShown;
    write(facetsShown ? 'shown' : 'hidden');
    set({ facetsShown });
  },
}));

function read(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function write(value: string): void {
  try {
    localStorage.setItem(KEY, value);
  } catch {
    // Storage is blocked: the choice lasts until the page is left.
  }
}
