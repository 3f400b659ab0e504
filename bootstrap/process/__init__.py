"""The user's command as a supervised child: what is executed, its environment, its signals, its bytes, its end.

- :mod:`command`: argv to what is executed, and its environment;
- :mod:`stop`: the signals that ask for a stop (caught from the first moment on), the plan of its seconds, its targets;
- :mod:`supervise`: one life of the command (:mod:`~.supervise.restarts`: more of them), /proc, the proof of OOM;
- :mod:`output`: its bytes, to the console and to the log file.

::

    with Signals() as signals:                      # before anything else; signals.stop is the job's StopRequest
        ...                                         # fetch
        resolved = resolve(argv, cwd=work_dir, environ=environ)
        launch = Launch(resolved.argv, environ, work_dir, executable=resolved.executable, log_path=..., plan=plan)
        ending = supervise_with_restarts(launch, signals, log, max_restarts=0)
        ...                                         # deliver, until Moment(signals, plan.deliver_until)
"""
