// A server of Node that answers everything after some milliseconds, and what is below /events as late
// as its clients wait. It listens where its argument says.
const http = require('http')
const server = http.createServer((request, response) => {
	if (!request.url.startsWith('/events')) setTimeout(() => response.end('hello\n'), 15)
})
const [host, port] = process.argv[2].split(':')
server.listen(+port, host)
