"""The user's command as a supervised child: what is executed, its environment, its signals, its bytes, its end.

Read in this order: :mod:`command` (argv to what is executed), :mod:`environment`, :mod:`signals` (from the first moment
on), :mod:`supervisor` (the child's life), :mod:`tee` (its bytes), :mod:`redact`, :mod:`cgroup` (the kernel's proof of
OOM).

    with Signals() as signals:                      # before anything else; signals.stop is the job's StopRequest
        ...                                         # fetch
        resolved = command.resolve(argv, cwd=work_dir, environ=environ)
        ending = supervise(Launch(resolved.argv, environ, work_dir, log_path=...), signals, log)
        ...                                         # deliver, within launch.budget.left(signals.stopped_at)
"""
