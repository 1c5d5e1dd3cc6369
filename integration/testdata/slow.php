<?php
// A page below every path that takes ms milliseconds.
usleep((int)(1000 * ($_GET['ms'] ?? 0)));
header('Content-Type: text/plain');
echo "page\n";
