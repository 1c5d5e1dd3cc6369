<?php
// A page that asks its own site for another one, depth times deep, with the visitor's
// cookie, in the middle of what it does: ms milliseconds.
$depth = (int)($_GET['depth'] ?? 0);
usleep((int)(500 * $_GET['ms']));
$inside = '';
if ($depth > 0) {
    $header = isset($_SERVER['HTTP_COOKIE']) ? "Cookie: {$_SERVER['HTTP_COOKIE']}\r\n" : '';
    $context = stream_context_create(['http' => ['header' => $header, 'timeout' => 15]]);
    $url = "http://{$_SERVER['HTTP_HOST']}/nested.php?depth=" . ($depth - 1) . "&ms={$_GET['ms']}";
    $inside = @file_get_contents($url, false, $context);
    if ($inside === false) {
        http_response_code(500);
        $inside = 'FAILED';
    }
}
usleep((int)(500 * $_GET['ms']));
header('Content-Type: text/plain');
echo "page $depth\n$inside";
