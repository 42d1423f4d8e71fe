// Settings of the reference's library that it reads while it loads: its validation compiles no code, which the policy
// of the page forbids.
globalThis.__zod_globalConfig = { jitless: true };
