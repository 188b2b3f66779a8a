'use strict';
const bigInt = require('big-integer');
const express = require('express');

const app = express();

app.get('/fibonacci/:n', (request, response) => {
  const n = Number(request.params.n);
  if (!Number.isInteger(n) || n < 0 || n > 10000) {
    return response.status(400).json({ error: 'n must be a whole number from 0 to 10000' });
  }
  let [a, b] = [bigInt(0), bigInt(1)];
  for (let i = 0; i < n; i++) [a, b] = [b, a.add(b)];
  response.json({ n, value: a.toString() });
});

const server = app.listen(Number(process.env.PORT), '127.0.0.1');
// A first process in a container has no default handlers.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => server.close(() => process.exit(0)));
