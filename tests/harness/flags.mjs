/** Settings that several scenarios share. */

/** For nodes whose users send more, or faster, than a session may by default: beyond what any scenario sends. */
export const MANY_SENDS = ['--sends-per-second', '1000', '--sends-burst', '2000'];
