<?php
// The routes of this package (see doc.go) for PHP-FPM and php-cgi.

function gate_pass($go) {
    fread($go, 1); // one byte, or the end of the test (EOF)
}

$q = $_GET;
$path = $_SERVER['PATH_INFO'] ?? '';
$route = explode('/', $path)[1] ?? '';
header('Content-Type: text/plain');

switch ($route) {
case 'hello':
    echo "hello\n";
    break;
case 'params':
    foreach ($_SERVER as $name => $value) {
        if (is_string($value)) {
            echo "$name=$value\n";
        }
    }
    break;
case 'token':
    echo $q['t'];
    break;
case 'status':
    http_response_code((int)$q['code']);
    break;
case 'cookies':
    header('Set-Cookie: a=1', false);
    header('Set-Cookie: b=2', false);
    break;
case 'short':
    header('Content-Length: 1000');
    echo '0123456789';
    break;
case 'early':
    echo "early\n";
    flush(); // PHP reads the body's rest before it ends the answer
    break;
case 'body':
    $sum = hash_init('sha256');
    $length = 0;
    $in = fopen('php://input', 'rb');
    while (($data = fread($in, 65536)) !== false && $data !== '') {
        $length += strlen($data);
        hash_update($sum, $data);
    }
    printf("content_length=%s\nlength=%d\nsha256=%s\n", $_SERVER['CONTENT_LENGTH'] ?? '', $length, hash_final($sum));
    break;
case 'echo':
    header('Content-Type: application/octet-stream');
    echo file_get_contents('php://input');
    break;
case 'download':
    header('Content-Type: application/octet-stream');
    header("Content-Length: {$q['n']}");
    $block = '';
    for ($i = 0; $i < 65536; $i++) {
        $block .= chr(($i * 31 + ($i >> 8)) & 255);
    }
    for ($n = (int)$q['n']; $n > 0; $n -= 65536) {
        echo $n < 65536 ? substr($block, 0, $n) : $block;
    }
    break;
case 'stream':
    $go = fopen("{$q['gate']}/go", 'rb');
    if ($q['kind'] === 'events') {
        header('Content-Type: text/event-stream');
    }
    if ($q['kind'] === 'accel') {
        header('X-Accel-Buffering: no');
    }
    for ($i = 0; $i < (int)$q['n']; $i++) {
        echo "data: $i\n\n";
        flush();
        gate_pass($go);
    }
    break;
case 'wait':
    $go = fopen("{$q['gate']}/go", 'rb');
    file_put_contents("{$q['gate']}/in", 'i');
    gate_pass($go);
    echo "waited\n";
    break;
case 'stderr':
    $line = str_repeat('e', 1023);
    for ($n = (int)$q['n']; $n > 0; $n -= 1024) {
        error_log($line);
    }
    echo "after the flood\n";
    break;
case 'die':
    if ($q['at'] === 'body') {
        $go = fopen("{$q['gate']}/go", 'rb');
        echo 'the beginning of';
        flush();
        gate_pass($go);
    }
    posix_kill(posix_getpid(), 9);
    break;
default:
    http_response_code(404);
    echo "no such route\n";
}
