/** Mantine dressed in the colours of `styles/tokens.css`. */
import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from '@mantine/core';

const brand: MantineColorsTuple = [
  '#eef0ff',
  '#dfe2ff',
  '#bec3fd',
  '#9ba2f9',
  '#7d83f5',
  '#6d6af5',
  '#4f46e5',
  '#4338ca',
  '#3730a3',
  '#312e81',
];

/** Mantine's shades of dark, from text to the page behind everything. */
const dark: MantineColorsTuple = [
  '#e3e7ee',
  '#aab4c4',
  '#8c97a9',
  '#5d687b',
  '#354053',
  '#2a3241',
  '#181d28',
  '#11151d',
  '#0d1017',
  '#0b0e14',
];

export const theme = createTheme({
  primaryColor: 'brand',
  primaryShade: { light: 6, dark: 6 },
  colors: { brand, dark },
  fontFamily: 'var(--font)',
  fontFamilyMonospace: 'var(--mono)',
  defaultRadius: 'sm',
  radius: { xs: '3px', sm: '6px', md: '8px', lg: '12px' },
  fontSizes: { xs: '12px', sm: '13px', md: '14px', lg: '16px', xl: '20px' },
  cursorType: 'pointer',
  components: {
    Button: { defaultProps: { size: 'xs' } },
    ActionIcon: { defaultProps: { variant: 'subtle', color: 'gray', size: 28 } },
    Tooltip: { defaultProps: { openDelay: 350, withArrow: false, fz: 12 } },
    InputWrapper: {
      defaultProps: { withAsterisk: false },
      styles: { label: { marginBottom: 4 }, description: { marginBottom: 5 } },
    },
    Modal: { styles: { title: { fontWeight: 620, fontSize: 15 } } },
    Menu: { defaultProps: { shadow: 'md', withinPortal: true } },
    TextInput: { defaultProps: { size: 'xs' } },
    PasswordInput: { defaultProps: { size: 'xs' } },
    Checkbox: { defaultProps: { size: 'xs' } },
  },
});

const surfaces = {
  '--mantine-color-body': 'var(--surface)',
  '--mantine-color-text': 'var(--text)',
  '--mantine-color-dimmed': 'var(--text-3)',
  '--mantine-color-placeholder': 'var(--text-3)',
  '--mantine-color-default': 'var(--surface)',
  '--mantine-color-default-hover': 'var(--surface-2)',
  '--mantine-color-default-border': 'var(--border-strong)',
  '--mantine-color-default-color': 'var(--text)',
  '--mantine-color-anchor': 'var(--accent-text)',
  '--mantine-color-error': 'var(--bad)',
};

export const cssVariables: CSSVariablesResolver = () => ({ variables: {}, light: surfaces, dark: surfaces });
