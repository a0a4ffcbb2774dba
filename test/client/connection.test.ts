import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { connectTo } from '../../client/temporal/connection';
import { localServer } from '../../client/temporal/given-server';

const UNIMPLEMENTED = 12;
const UNAVAILABLE = 14;

/** A Temporal server that is going down: it lets clients connect and has no other answer. */
async function serverGoingDown() {
  let onRefusal = (): void => undefined;
  const refused = new Promise<void>((resolve) => (onRefusal = resolve));
  const server = createServer().on('stream', (stream, headers) => {
    const connecting = headers[':path']!.endsWith('/GetSystemInfo');
    stream.respond({ 'content-type': 'application/grpc', 'grpc-status': connecting ? UNIMPLEMENTED : UNAVAILABLE }, { endStream: true });
    if (!connecting) onRefusal();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, refused, close: () => server.close() };
}

describe('a connection to a Temporal server', () => {
  it('that is closed while a refused call waits for its next try ends that call and not the process', async () => {
    const server = await serverGoingDown();
    const connection = await connectTo(localServer(server.address, 'default', 'a test'));
    const call = connection.workflowService.describeNamespace({ namespace: 'default' });
    await server.refused;
    await connection.close();
    await expect(call).rejects.toMatchObject({ code: 1, details: 'Channel has been shut down' });
    server.close();
  });
});
