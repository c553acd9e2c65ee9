# caught by the sandbox: both runs give the same
date -d @0 >out; date -r given/a +%H:%M%z >>out
