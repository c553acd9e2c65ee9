# caught by the sandbox: both runs give the same
id -u >out; id -g >>out; stat -c %u:%g given/a >>out
