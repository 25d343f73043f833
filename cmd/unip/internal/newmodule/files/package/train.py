"""The stage train of the pipeline: table -> model. It knows its file and its folder by the environment."""

import os
import sys

from {{.Package}} import model

if __name__ == "__main__":
    try:
        words = model.train(os.environ["UNIP_PIPELINE_TABLE"])
    except ValueError as e:
        sys.exit("wrong input: %s" % e)
    model.save(words, os.path.join(os.environ["UNIP_PIPELINE_MODEL"], "words.json"))
    print("learned: %s" % ", ".join("%s (%d words)" % (topic, len(words[topic])) for topic in sorted(words)))
