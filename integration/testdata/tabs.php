<?php
// A page that takes ms milliseconds. Whoever has a session waits for its lock
// first, and holds it meanwhile: PHP's sessions serve one request at a time.
if (isset($_COOKIE['PHPSESSID'])) {
    session_start();
}
usleep((int)(1000 * $_GET['ms']));
header('Content-Type: text/plain');
echo "page\n";
