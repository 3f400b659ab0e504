"""The user's command as a supervised child: what is executed, its environment, its signals, its bytes, its end.

Read in this order: :mod:`command` (argv to what is executed), :mod:`environment`, :mod:`signals` (from the first moment
on), :mod:`supervisor` (one life of the command; :mod:`restarts`: more of them), :mod:`tee` (its bytes: to the console
and to :mod:`logfile`), :mod:`redact`. Beside them stand :mod:`budget` and :mod:`deadline` (the seconds of a stop),
:mod:`notice` (what the command is told of it), :mod:`stall`, :mod:`terminal`, :mod:`processes` (/proc), :mod:`cgroup`
(the proof of OOM) and :mod:`sacrifice` (who is killed then).

    with Signals() as signals:                      # before anything else; signals.stop is the job's StopRequest
        ...                                         # fetch
        resolved = command.resolve(argv, cwd=work_dir, environ=environ)
        launch = Launch(resolved.argv, environ, work_dir, executable=resolved.executable, log_path=...)
        ending = supervise_with_restarts(launch, signals, log, max_restarts=0)
        ...                                         # deliver, within launch.budget.left(signals.stopped_at)
"""
