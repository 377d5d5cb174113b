/** The mark of the product: three lines of a log, the newest one lit. */
export function Logo({ size = 24 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="#4f46e5" />
      <path d="M8 10h10M8 16h16M8 22h7" stroke="#fff" strokeWidth="3" strokeLinecap="round" />
      <circle cx="23" cy="10" r="2.2" fill="#a5f3fc" />
    </svg>
  );
}
