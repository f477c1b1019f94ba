"""The freeze: values as they are at one instant, copied or held, and the proof that it was one."""
