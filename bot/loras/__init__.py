"""LoRAs that members have trained: who may paint with which, and what becomes of them.

`lora` says what one is and who may use it, `files` is where they lie, `kept` has all of them, `landings` brings what
trainings make, `sharing` says whether one may be shared, `questions` where moderators were asked. How they are painted
with the engine knows.
"""
