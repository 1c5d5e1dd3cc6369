<?php
// Adds the nonce t to the file ledger, waits ms milliseconds, and answers the
// nonce (also as X-Nonce), a newline and the body.
$q = $_GET;
file_put_contents($q['ledger'], "{$q['t']}\n", FILE_APPEND | LOCK_EX);
usleep(1000 * (int)$q['ms']);
header('Content-Type: application/octet-stream');
header("X-Nonce: {$q['t']}");
echo $q['t'], "\n", file_get_contents('php://input');
