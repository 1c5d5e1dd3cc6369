// A server of Node: what it is asked for over HTTP, /poll after a second, and an echo for clients that upgrade to
// another protocol. It listens where its argument says.
const http = require('http')
const server = http.createServer((request, response) => {
	let length = 0
	request.on('data', data => { length += data.length })
	const answer = () => response.end(`${request.method} ${request.url} ${length}\n`)
	request.on('end', () => request.url === '/poll' ? setTimeout(answer, 1000) : answer())
})
server.on('upgrade', (request, socket, first) => {
	socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
	socket.write(first)
	socket.on('error', () => {})
	socket.pipe(socket)
})
const [host, port] = process.argv[2].split(':')
server.listen(+port, host)
