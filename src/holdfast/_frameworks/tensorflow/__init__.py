"""TensorFlow without Keras: ``tf.train.Checkpoint``, ``tf.Module``, lists and dicts of ``tf.Variable``."""
