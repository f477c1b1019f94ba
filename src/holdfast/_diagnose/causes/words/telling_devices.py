"""What people tell in their own words of where a model is used: devices, threads, sessions in the cloud; of a latest
checkpoint that is none, and of classes without names."""

from __future__ import annotations

from .telling import told

ENTRIES = (
    told(
        "told-other-device",
        (("device-mismatch", 0.72), ("topology", 0.44), ("version-mismatch", 0.42)),
        "gpu|tpu|cuda|cudnn",
        r"(?:(?:trained|saved|runs?|works?|working|perfect\w*|fine)\b.{0,80}?\b(?:gpu|tpu|cuda"
        r"|cudnn\w*)\b.{0,160}?(?:not\b|n't\b|fail"
        r"|cannot|can't|error|unable|crash).{0,80}?\bcpu\b|\bcpu\b[- ](?:only|machine).{0,80}?(?:not\b|n't\b|fail"
        r"|cannot|can't|error"
        r"|unable).{0,80}?\b(?:gpu|tpu|cudnn\w*)\b|(?:without|no|has no|not have) (?:a |any )?(?:gpu"
        r"|cuda)\b.{0,100}?\b(?:load|restor)"
        r"|\b(?:load|restor)\w*\b.{0,100}?(?:without|no|has no|not have) (?:a |any )?(?:gpu|cuda)\b"
        r"|\b(?:load|restor|inference)\w*\b.{0,60}?\b(?:on|to) (?:the |a )?cpu\b.{0,60}?(?:not\b|n't\b|fail|cannot|can't|error)"
        r".{0,200}?\bgpu\b)",
        "what was saved on one kind of device is loaded on another, and keeps its devices (or operations that only the one has)",
        "Map it while loading (`map_location='cpu'`, `clear_devices=True`), and build layers that both devices know.",
        "My network was trained on a GPU and does not load on a CPU machine",
    ),
    told(
        "told-session-over",
        (("storage", 0.66), ("not-found", 0.62), ("retention", 0.56)),
        "colab|collab|kaggle|runtime|notebook|instance|vm|spot",
        r"\b(?:colab|kaggle|runtime|notebook session|cloud instance|spot instance|vm)\b.{0,200}?\b(?:disconnect\w*"
        r"|reset|recycled|timed? ?out"
        r"|shut down|terminated|expired)\b.{0,300}?(?:n't exist|not exist|not there|not found|gone|lost|deleted"
        r"|disappear\w*|can't find"
        r"|empty)|\bdisconnect\w*\b.{0,60}?\b(?:colab|collab|kaggle|runtime)\b.{0,300}?(?:n't exist|not exist|not "
        r"there|gone|lost|deleted"
        r"|disappear\w*)",
        "the disk of a session in the cloud goes with the session, and the checkpoint was on it",
        "Save to what lasts (a mounted drive, a bucket), and copy every checkpoint there as it is made.",
        "The Colab runtime was disconnected in the night and my checkpoints are gone",
    ),
    told(
        "told-latest-is-none",
        (("not-found", 0.76), ("incomplete-save", 0.48), ("storage", 0.4)),
        "latest_checkpoint|get_checkpoint_state|latest checkpoint",
        r"(?:latest_checkpoint|get_checkpoint_state|latest checkpoint)\b.{0,80}?\b(?:returns?|returned|gives?"
        r"|giving|is|was|being)"
        r" (?:always )?(?:None|null|nothing|an empty)",
        "the folder has no state file `checkpoint`, or that one names a prefix which is not there (moved, renamed, "
        "absolute path)",
        "Give the folder, not a file of it; see that `checkpoint` lies there and names what is beside it; or give "
        "the prefix itself.",
        "tf.train.latest_checkpoint returns None for my folder",
    ),
    told(
        "told-in-threads",
        (("graph-lifecycle", 0.67), ("concurrency", 0.62), ("memory", 0.38)),
        "thread|flask|django|celery|web server|webserver|gunicorn|fastapi",
        r"\b(?:predict\w*|inference|load_model|load(?:ing)? (?:the |a |my )?model|session|graph)\b.{0,160}?\b(?:thre"
        r"ads?|threading|flask"
        r"|django|celery|web ?server|gunicorn|fastapi)\b|\b(?:flask|django|celery|web ?server|gunicorn"
        r"|fastapi)\b.{0,160}?\b(?:predict\w*"
        r"|inference|load_model|load(?:ing)? (?:the |a |my )?model|session|graph)\b",
        "the model was loaded in one thread, and is used in another: its graph and session are those of the thread "
        "that loaded it",
        "Load once, keep graph and session beside the model, and enter both (`with graph.as_default():`) in each thread.",
        "load_model works in a script and fails within a Flask request",
    ),
    told(
        "told-which-class",
        (("preprocessing", 0.72), ("metrics", 0.52), ("other", 0.36)),
        "which|mis-assigned|misassigned|label|class",
        r"\b(?:which|what) (?:\w+ ){0,4}?(?:belongs?|corresponds?|refers?|is) (?:\w+ ){0,2}?(?:to )?(?:which|what"
        r"|each|the) (?:class|label)"
        r"|(?:labels?|class(?:es)?)\b.{0,40}?\bmis-?assigned|(?:get|recover|know|find)\w* (?:back )?(?:the "
        r")?(?:class|label)(?:es|s)?"
        r" (?:names?|order|ind(?:ex|ices)|map\w*)",
        "the order of the classes is not in the checkpoint: it is that of the labels (mostly by name) when the model was trained",
        "Save the label map beside the checkpoint, and load it with the model.",
        "I loaded the model and cannot tell which probability belongs to which class",
    ),
)  # fmt: skip
