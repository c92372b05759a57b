/** Whom a message is for. */

/** @typedef {import('./topic-checker.mjs').Audience} Audience */

/** The topics it goes to; undefined: everybody's. @param {Audience} to @returns {string[] | undefined} */
export function topicsOf(to) {
  if ('user' in to) return [`u:${to.user}`];
  if ('users' in to) return [...new Set(to.users)].map((user) => `u:${user}`);
  return 'group' in to ? [`g:${to.group}`] : undefined;
}

/** Whether it may be for this client, as far as users and attributes go. @param {Audience} to @param {import('./receiver.mjs').Receiver} receiver */
export function isFor(to, { user, attributes, spans }) {
  if ('user' in to) return to.user === user;
  if ('users' in to) return to.users.includes(user);
  if ('group' in to) return spans.has(`g:${to.group}`);
  return 'all' in to || Object.entries(to.match).every(([name, value]) => {
    const own = attributes[name];
    return Array.isArray(own) ? own.includes(value) : own === value;
  });
}
