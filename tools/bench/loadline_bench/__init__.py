"""How much work does one request cost the serving runtime, and how much does it cost its peers?"""
